-- Requests of the API that came with a token by which their client repeats them: written in the commit of what they
-- changed, so that a repeat changes nothing, and again with their answer. Removed a day later.
CREATE TABLE idempotent_requests (
    -- Digest of the account, the method, the path and the token.
    request TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    -- Digest of the body.
    body TEXT NOT NULL,
    -- What the workspace replied: 'done', or the SID of what was made.
    reply TEXT NOT NULL,
    -- The answer; none while it has not been given, or where it is long and made anew from the reply.
    answer_status BIGINT,
    answer_etag TEXT,
    answer_body TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotent_requests_by_workspace ON idempotent_requests (workspace_sid);
CREATE INDEX idempotent_requests_by_age ON idempotent_requests (created_at);
