-- Immutability of repositories, as JSON, and until when what a point needs is locked.

ALTER TABLE repositories ADD COLUMN immutability TEXT;
ALTER TABLE points ADD COLUMN locked_until TEXT;
