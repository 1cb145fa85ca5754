-- Set before a restore point's root is written: from then on a cancel comes too late, whatever crashes.
ALTER TABLE sessions ADD COLUMN publishes INTEGER NOT NULL DEFAULT 0;
