"""API keys: made with the account's token, used in its place, and revoked."""

from conftest import ACCOUNT_SID, connect, fails, unique


def test_a_key_is_made_used_renamed_and_revoked(client):
    made = client.new_keys.create(friendly_name=unique("key"))
    assert made.sid.startswith("SK") and len(made.sid) == 34 and made.secret
    user = connect(made.sid, made.secret, ACCOUNT_SID)
    workspace = user.taskrouter.v1.workspaces.create(friendly_name=unique("By key"))
    assert workspace.account_sid == ACCOUNT_SID
    assert user.taskrouter.v1.workspaces(workspace.sid).delete() is True
    assert client.keys(made.sid).update(friendly_name="renamed").friendly_name == "renamed"
    assert client.keys(made.sid).fetch().friendly_name == "renamed"
    assert made.sid in [key.sid for key in client.keys.list()]
    fails(401, 20003, connect(made.sid, "wrong", ACCOUNT_SID).taskrouter.v1.workspaces.list)
    assert client.keys(made.sid).delete() is True
    fails(401, 20003, user.taskrouter.v1.workspaces.list)
    fails(404, 20404, client.keys(made.sid).fetch)
