-- What callers meet before the routing: calendars and entry points of a workspace. Nothing of it is the routing core's.
CREATE TABLE entry_resources (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    -- `calendar` or `entry_point`.
    kind TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    -- JSON object of what it says.
    document TEXT NOT NULL,
    -- The calendar that an entry point follows.
    calendar_sid TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX entry_resources_by_kind ON entry_resources (workspace_sid, kind, created_at, sid);
CREATE UNIQUE INDEX entry_resources_by_name ON entry_resources (workspace_sid, kind, friendly_name);
CREATE INDEX entry_resources_by_calendar ON entry_resources (calendar_sid) WHERE calendar_sid IS NOT NULL;
