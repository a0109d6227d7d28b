-- Everything the server keeps. SIDs and enums are text, moments are milliseconds since the Unix epoch, booleans 0 or 1.
-- Texts of users (attributes, configurations) are kept byte for byte.

CREATE TABLE accounts (
    sid TEXT NOT NULL PRIMARY KEY,
    friendly_name TEXT NOT NULL,
    auth_token TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE workspaces (
    sid TEXT NOT NULL PRIMARY KEY,
    account_sid TEXT NOT NULL REFERENCES accounts (sid),
    friendly_name TEXT NOT NULL,
    default_activity_sid TEXT NOT NULL,
    timeout_activity_sid TEXT NOT NULL,
    event_callback_url TEXT NOT NULL,
    events_filter TEXT,
    multi_task_enabled INTEGER NOT NULL,
    prioritize_queue_order TEXT NOT NULL,
    last_sequence BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX workspaces_by_account ON workspaces (account_sid, sid);

CREATE TABLE activities (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    available INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX activities_by_workspace ON activities (workspace_sid, created_at, sid);

CREATE TABLE task_channels (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    unique_name TEXT NOT NULL,
    channel_optimized_routing INTEGER NOT NULL,
    built_in INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (workspace_sid, unique_name)
);

CREATE TABLE task_queues (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    target_workers TEXT NOT NULL,
    task_order TEXT NOT NULL,
    max_reserved_workers INTEGER NOT NULL,
    reservation_activity_sid TEXT,
    assignment_activity_sid TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX task_queues_by_workspace ON task_queues (workspace_sid, created_at, sid);

CREATE TABLE workflows (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    configuration TEXT NOT NULL,
    version INTEGER NOT NULL,
    assignment_callback_url TEXT,
    fallback_assignment_callback_url TEXT,
    task_reservation_timeout_secs INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX workflows_by_workspace ON workflows (workspace_sid, created_at, sid);

-- Older configurations that tasks still follow.
CREATE TABLE workflow_versions (
    workflow_sid TEXT NOT NULL,
    version INTEGER NOT NULL,
    workspace_sid TEXT NOT NULL,
    configuration TEXT NOT NULL,
    PRIMARY KEY (workflow_sid, version)
);
CREATE INDEX workflow_versions_by_workspace ON workflow_versions (workspace_sid);

CREATE TABLE workers (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    -- Lower case, for filters that ignore case.
    name_key TEXT NOT NULL,
    attributes TEXT NOT NULL,
    activity_sid TEXT NOT NULL,
    status_changed_at BIGINT NOT NULL,
    last_reserved_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX workers_by_workspace ON workers (workspace_sid, created_at, sid);
CREATE UNIQUE INDEX workers_by_name ON workers (workspace_sid, name_key);
CREATE INDEX workers_by_activity ON workers (workspace_sid, activity_sid, created_at, sid);

CREATE TABLE worker_channels (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    worker_sid TEXT NOT NULL,
    task_channel_sid TEXT NOT NULL,
    configured_capacity INTEGER NOT NULL,
    available INTEGER NOT NULL,
    assigned_tasks INTEGER NOT NULL,
    used INTEGER NOT NULL,
    last_reserved_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX worker_channels_by_worker ON worker_channels (worker_sid, task_channel_sid);
CREATE INDEX worker_channels_by_workspace ON worker_channels (workspace_sid);

CREATE TABLE tasks (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    attributes TEXT NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    timeout_secs INTEGER NOT NULL,
    reason TEXT,
    task_channel_sid TEXT NOT NULL,
    task_queue_sid TEXT,
    queue_entered_at BIGINT,
    workflow_sid TEXT,
    workflow_version INTEGER NOT NULL,
    -- `filter.target`, `default` or `direct`.
    step TEXT NOT NULL,
    base_at BIGINT NOT NULL,
    filter_timed_out INTEGER NOT NULL,
    virtual_start_at BIGINT NOT NULL,
    routing_target TEXT,
    ignore_capacity INTEGER NOT NULL,
    reserved_count INTEGER NOT NULL,
    -- JSON array of [worker SID, until, failures].
    back_offs TEXT NOT NULL,
    version BIGINT NOT NULL,
    assigned_at BIGINT,
    finished_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX tasks_by_workspace ON tasks (workspace_sid, created_at, sid);
CREATE INDEX tasks_by_status ON tasks (workspace_sid, status, created_at, sid);
CREATE INDEX tasks_by_queue ON tasks (workspace_sid, task_queue_sid, created_at, sid);

CREATE TABLE reservations (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    task_sid TEXT NOT NULL,
    worker_sid TEXT NOT NULL,
    worker_name TEXT NOT NULL,
    task_channel_sid TEXT NOT NULL,
    status TEXT NOT NULL,
    timeout_secs INTEGER NOT NULL,
    deadline BIGINT,
    connecting INTEGER NOT NULL,
    previous_activity_sid TEXT,
    canceled_reason_code INTEGER,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX reservations_by_task ON reservations (task_sid, created_at, sid);
CREATE INDEX reservations_by_worker ON reservations (worker_sid, created_at, sid);
CREATE INDEX reservations_by_workspace ON reservations (workspace_sid);

CREATE TABLE events (
    workspace_sid TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    sid TEXT NOT NULL,
    event_type TEXT NOT NULL,
    at BIGINT NOT NULL,
    description TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_sid TEXT NOT NULL,
    task_sid TEXT,
    worker_sid TEXT,
    reservation_sid TEXT,
    task_queue_sid TEXT,
    workflow_sid TEXT,
    activity_sid TEXT,
    task_channel_sid TEXT,
    -- JSON object of snake-case names and text values.
    event_data TEXT NOT NULL,
    PRIMARY KEY (workspace_sid, sequence)
);
CREATE UNIQUE INDEX events_by_sid ON events (sid);
CREATE INDEX events_by_time ON events (workspace_sid, at, sequence);
CREATE INDEX events_by_task ON events (task_sid, sequence) WHERE task_sid IS NOT NULL;

-- Effects that were decided and committed and are still to be carried out.
CREATE TABLE outbox (
    workspace_sid TEXT NOT NULL,
    task_sid TEXT NOT NULL,
    number INTEGER NOT NULL,
    -- JSON of the command to the phone system.
    command TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_sid, task_sid, number)
);

-- One row per task made from a call: the state of the calls core.
CREATE TABLE voice_tasks (
    task_sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    call_sid TEXT,
    -- Closed: no live legs.
    closed INTEGER NOT NULL,
    conference_sid TEXT,
    -- JSON of the calls core's record.
    state TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX voice_tasks_by_workspace ON voice_tasks (workspace_sid, closed);
CREATE INDEX voice_tasks_by_call ON voice_tasks (call_sid);

-- What went wrong, under Twilio's debugger codes.
CREATE TABLE alerts (
    sid TEXT NOT NULL PRIMARY KEY,
    account_sid TEXT NOT NULL,
    workspace_sid TEXT,
    code INTEGER NOT NULL,
    message TEXT NOT NULL,
    task_sid TEXT,
    reservation_sid TEXT,
    worker_sid TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX alerts_by_account ON alerts (account_sid, at, sid);
