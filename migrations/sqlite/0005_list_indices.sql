-- Indices for the filters and orders of lists. Each costs at every write, so there is one only where a filter or an
-- order of a list that can be long needs it. The SID comes last because it makes every order total.

-- Workspaces, activities, channels, queues and workflows change rarely.
CREATE INDEX workspaces_by_name ON workspaces (account_sid, friendly_name, sid);
CREATE INDEX activities_by_name ON activities (workspace_sid, friendly_name, created_at, sid);
CREATE INDEX activities_by_availability ON activities (workspace_sid, available, created_at, sid);
CREATE INDEX task_channels_by_workspace ON task_channels (workspace_sid, created_at, sid);
CREATE INDEX task_queues_by_name ON task_queues (workspace_sid, friendly_name, created_at, sid);
CREATE INDEX task_queues_by_update ON task_queues (workspace_sid, updated_at, sid);
CREATE INDEX workflows_by_name ON workflows (workspace_sid, friendly_name, created_at, sid);

CREATE INDEX workers_by_status_change ON workers (workspace_sid, status_changed_at, sid);

-- Urgent first and then oldest first, or all the other way round.
CREATE INDEX tasks_by_urgency ON tasks (workspace_sid, priority DESC, created_at, sid);
CREATE INDEX tasks_by_virtual_start ON tasks (workspace_sid, virtual_start_at, sid);
CREATE INDEX tasks_by_workflow ON tasks (workspace_sid, workflow_sid, created_at, sid);
CREATE INDEX tasks_by_target ON tasks (workspace_sid, routing_target, created_at, sid)
    WHERE routing_target IS NOT NULL;

CREATE INDEX reservations_by_status ON reservations (worker_sid, status, created_at, sid);

-- Events are only added. What an event is about has a SID that no other workspace has.
DROP INDEX events_by_task;
CREATE INDEX events_by_task ON events (task_sid, at, sequence) WHERE task_sid IS NOT NULL;
CREATE INDEX events_by_worker ON events (worker_sid, at, sequence) WHERE worker_sid IS NOT NULL;
CREATE INDEX events_by_reservation ON events (reservation_sid, at, sequence) WHERE reservation_sid IS NOT NULL;
CREATE INDEX events_by_queue ON events (task_queue_sid, at, sequence) WHERE task_queue_sid IS NOT NULL;
CREATE INDEX events_by_workflow ON events (workflow_sid, at, sequence) WHERE workflow_sid IS NOT NULL;
CREATE INDEX events_by_channel ON events (task_channel_sid, at, sequence) WHERE task_channel_sid IS NOT NULL;
CREATE INDEX events_by_type ON events (workspace_sid, event_type, at, sequence);
