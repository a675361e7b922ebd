-- Why somebody has put an event aside, and who; none of one that only waits, or that the projection's policy has put aside.
ALTER TABLE readview_parked ADD reason TEXT, ADD actor TEXT;
