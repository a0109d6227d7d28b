-- What statistics count: facts, their sums by bucket, and the stays of workers in activities.

-- One row for each event that counts.
CREATE TABLE statistic_facts (
    workspace_sid TEXT NOT NULL,
    at BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    task_queue_sid TEXT,
    workflow_sid TEXT,
    worker_sid TEXT,
    task_channel_sid TEXT,
    -- Of acceptances and cancellations: whole seconds since the task was made, and since it came into its queue.
    wait_secs BIGINT,
    wait_in_queue_secs BIGINT,
    after_transfer INTEGER NOT NULL,
    PRIMARY KEY (workspace_sid, at, sequence)
) WITHOUT ROWID;

-- Waits one by one, for the split by wait time: of a workspace or workflow, and of a queue. Both cover all that is asked.
CREATE INDEX statistic_facts_of_waits
    ON statistic_facts (workspace_sid, kind, at, sequence, workflow_sid, task_channel_sid, wait_secs, after_transfer)
    WHERE wait_secs IS NOT NULL AND after_transfer = 0;
CREATE INDEX statistic_facts_of_waits_in_queues
    ON statistic_facts (task_queue_sid, kind, at, sequence, workspace_sid, task_channel_sid, wait_secs, after_transfer)
    WHERE wait_secs IS NOT NULL AND after_transfer = 0;

-- Facts of one bucket added up, for a workspace, a queue, a workflow or a worker.
CREATE TABLE statistic_rollups (
    workspace_sid TEXT NOT NULL,
    scope_sid TEXT NOT NULL,
    width_secs INTEGER NOT NULL,
    begins_at BIGINT NOT NULL,
    -- Empty when the facts name none.
    task_channel_sid TEXT NOT NULL,
    reservations_created BIGINT NOT NULL,
    reservations_accepted BIGINT NOT NULL,
    reservations_rejected BIGINT NOT NULL,
    reservations_timed_out BIGINT NOT NULL,
    reservations_canceled BIGINT NOT NULL,
    reservations_rescinded BIGINT NOT NULL,
    tasks_created BIGINT NOT NULL,
    tasks_entered_queue BIGINT NOT NULL,
    tasks_entered_workflow BIGINT NOT NULL,
    tasks_canceled BIGINT NOT NULL,
    tasks_completed BIGINT NOT NULL,
    tasks_deleted BIGINT NOT NULL,
    tasks_moved BIGINT NOT NULL,
    tasks_timed_out_in_workflow BIGINT NOT NULL,
    until_accepted_total BIGINT NOT NULL,
    until_accepted_min BIGINT,
    until_accepted_max BIGINT,
    in_queue_until_accepted_total BIGINT NOT NULL,
    in_queue_until_accepted_min BIGINT,
    in_queue_until_accepted_max BIGINT,
    until_canceled_total BIGINT NOT NULL,
    until_canceled_min BIGINT,
    until_canceled_max BIGINT,
    PRIMARY KEY (workspace_sid, scope_sid, width_secs, begins_at, task_channel_sid)
) WITHOUT ROWID;
CREATE INDEX statistic_rollups_by_time ON statistic_rollups (workspace_sid, width_secs, begins_at);

-- Stays of workers in activities that are over; the present one is in the worker's row.
CREATE TABLE activity_periods (
    workspace_sid TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    -- Number of the event that ended it.
    sequence BIGINT NOT NULL,
    from_at BIGINT NOT NULL,
    worker_sid TEXT NOT NULL,
    activity_sid TEXT NOT NULL,
    PRIMARY KEY (workspace_sid, until_at, sequence)
) WITHOUT ROWID;
CREATE INDEX activity_periods_by_worker ON activity_periods (worker_sid, until_at);
