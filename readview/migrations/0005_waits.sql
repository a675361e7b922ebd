-- The sessions for which a rebuild waits, as detail says in words.
ALTER TABLE readview_rebuilds ADD waits JSONB;
