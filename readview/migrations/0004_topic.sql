-- What a projection of another context's events is fed by: its position is one of that topic's. NULL of one's own log, and when it is not known.
ALTER TABLE readview_states ADD topic TEXT;
-- And what is kept.
ALTER TABLE readview_kept ADD topic TEXT;
