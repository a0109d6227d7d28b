-- What was asked for when: from which event on a workspace's events are sent to a receiver, and which types of them. With
-- the place in the log it tells what became of an event for which there is no row in event_deliveries.
CREATE TABLE event_subscriptions (
    workspace_sid TEXT NOT NULL,
    from_sequence BIGINT NOT NULL,
    is_sent INTEGER NOT NULL,
    -- Types as given in EventsFilter; all without one.
    events_filter TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_sid, from_sequence)
);

-- Nobody has noted what was asked for before: those who have a receiver are taken to have had it all the time.
INSERT INTO event_subscriptions (workspace_sid, from_sequence, is_sent, events_filter, at)
SELECT sid, 0, 1, events_filter, 0 FROM workspaces WHERE event_callback_url <> '';
INSERT INTO event_subscriptions (workspace_sid, from_sequence, is_sent, events_filter, at)
SELECT sid, 0, 1, events_filter, 0 FROM departed_workspaces;
