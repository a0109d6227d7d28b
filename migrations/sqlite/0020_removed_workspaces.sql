-- Workspaces that were deleted and had so many rows that some of them are removed in later commits. Nobody finds rows of a
-- workspace that is gone; these are only in the way.
CREATE TABLE removed_workspaces (
    sid TEXT NOT NULL PRIMARY KEY
);
