-- When a workspace last changed: its time does not go back, also when the machine's clock does.
ALTER TABLE workspaces ADD COLUMN last_change_at BIGINT NOT NULL DEFAULT 0;

UPDATE workspaces SET last_change_at = coalesce(
    (SELECT events.at FROM events
     WHERE events.workspace_sid = workspaces.sid AND events.sequence = workspaces.last_sequence),
    updated_at);
