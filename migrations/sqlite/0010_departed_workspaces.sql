-- Workspaces that were deleted before their receiver had taken all of their events, the last of which tells of the
-- deletion. They keep what is still to be sent, in events and the tables of event callbacks, until that is over.
CREATE TABLE departed_workspaces (
    sid TEXT NOT NULL PRIMARY KEY,
    account_sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    event_callback_url TEXT NOT NULL,
    events_filter TEXT,
    last_sequence BIGINT NOT NULL
);
