-- Recordings of callers' messages that have become tasks: written in the commit of the task, so that a recording that the
-- phone system tells of again makes no second one. Removed a week later.
CREATE TABLE voicemails (
    workspace_sid TEXT NOT NULL,
    -- SID of the recording at the phone system.
    recording TEXT NOT NULL,
    task_sid TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_sid, recording)
);
