-- Callbacks of the phone system that an application asked to be told of: written in the commit of what they tell,
-- removed once the application has taken them or they were given up.
CREATE TABLE callback_relays (
    workspace_sid TEXT NOT NULL,
    task_sid TEXT NOT NULL,
    -- Counts up within the task.
    number BIGINT NOT NULL,
    -- The call or conference: what concerns one and goes to one URL is sent in order.
    subject_sid TEXT NOT NULL,
    url TEXT NOT NULL,
    by_get BIGINT NOT NULL,
    -- JSON: pairs of name and value.
    form TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_sid, task_sid, number)
);
