-- Which executable has filled the shadows: another one does not go on with them. And, while a rollback is at work, the row of readview_kept that it has taken.
ALTER TABLE readview_rebuilds ADD program TEXT NOT NULL DEFAULT '', ADD kept JSONB;
-- A rollback that did not come to its end has made whole tables of the rows that an apply had kept.
ALTER TABLE readview_kept ADD restored BOOLEAN NOT NULL DEFAULT false;
