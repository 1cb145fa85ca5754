-- The point with the full backup that a differential one stands on.

ALTER TABLE points ADD COLUMN full_point TEXT;
