-- The event log is the outbox of event callbacks: each workspace with a callback URL has a place in it. Events before the
-- place were delivered, are of no interest to the receiver, or have a row in event_deliveries. The row is made in the
-- commit that sets the URL and goes in the commit that takes it away.
CREATE TABLE event_cursors (
    workspace_sid TEXT NOT NULL PRIMARY KEY,
    next_sequence BIGINT NOT NULL
);

-- Workspaces that have one already are told of what happens from now on.
INSERT INTO event_cursors (workspace_sid, next_sequence)
SELECT sid, last_sequence + 1 FROM workspaces WHERE event_callback_url <> '';

-- Receivers that do not take events at present; a success removes the row.
CREATE TABLE event_endpoints (
    workspace_sid TEXT NOT NULL PRIMARY KEY,
    failing_since BIGINT NOT NULL,
    -- Nothing is sent any more until somebody switches it on again.
    disabled_at BIGINT,
    disabled_reason TEXT
);

-- Events that were tried and not taken: waiting for their next attempt, or dead.
CREATE TABLE event_deliveries (
    workspace_sid TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    event_sid TEXT NOT NULL,
    event_type TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    last_attempt_at BIGINT,
    last_status BIGINT,
    last_error TEXT,
    -- Beginning of the last answer.
    last_answer TEXT,
    PRIMARY KEY (workspace_sid, sequence)
);
CREATE INDEX event_deliveries_due ON event_deliveries (workspace_sid, state, next_attempt_at);
CREATE INDEX event_deliveries_by_event ON event_deliveries (event_sid);
