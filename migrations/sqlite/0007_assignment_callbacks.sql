-- Reservations whose assignment callback has no outcome yet: written in the commit of the reservation, removed in the
-- commit of what the application's answer did. Only workflows with a callback URL have rows here.
CREATE TABLE assignment_callbacks (
    workspace_sid TEXT NOT NULL,
    reservation_sid TEXT NOT NULL,
    -- When the reservation was made: the application has 5 seconds from here.
    opened_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_sid, reservation_sid)
);
