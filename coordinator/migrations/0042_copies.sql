-- What a point is a copy of: JSON of point and repository id.

ALTER TABLE points ADD COLUMN copy_of TEXT;
