-- Agents whose sockets are gone: after how many seconds their worker is moved, and to which activity. Opt-in.
ALTER TABLE workspaces ADD COLUMN disconnect_grace_secs BIGINT;
ALTER TABLE workspaces ADD COLUMN disconnect_activity_sid TEXT;

-- Workers that are to be moved when their last socket is gone: a row from the first socket to the end of the grace.
CREATE TABLE presences (
    worker_sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    -- What the newest socket asked for.
    disconnect_activity_sid TEXT,
    keeps_activity INTEGER NOT NULL,
    -- When the grace ends; none while a socket is open.
    deadline BIGINT
);
CREATE INDEX presences_by_workspace ON presences (workspace_sid);
