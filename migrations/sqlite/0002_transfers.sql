-- Transfers of assigned tasks, and what tasks and reservations keep of them.

CREATE TABLE transfers (
    sid TEXT NOT NULL PRIMARY KEY,
    workspace_sid TEXT NOT NULL,
    task_sid TEXT NOT NULL,
    mode TEXT NOT NULL,
    -- SID of a worker or a task queue.
    target TEXT NOT NULL,
    status TEXT NOT NULL,
    failed_reason TEXT,
    initiating_reservation_sid TEXT NOT NULL,
    initiating_worker_sid TEXT NOT NULL,
    initiating_queue_sid TEXT,
    initiating_workflow_sid TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX transfers_by_task ON transfers (task_sid, sid);
CREATE INDEX transfers_by_workspace ON transfers (workspace_sid);

-- The initiated transfer.
ALTER TABLE tasks ADD COLUMN transfer_sid TEXT;

-- Attributes changed since the task was evaluated last.
ALTER TABLE tasks ADD COLUMN attributes_changed INTEGER NOT NULL DEFAULT 0;

-- The transfer a reservation was made for.
ALTER TABLE reservations ADD COLUMN transfer_sid TEXT;
