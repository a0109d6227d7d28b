-- Calls in a row that a worker's phone did not take: after so many, if a limit is set, the worker goes to the workspace's
-- timeout activity.
ALTER TABLE workers ADD COLUMN connect_failures INTEGER NOT NULL DEFAULT 0;
