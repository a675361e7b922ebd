-- How far the other context's relay is that a projection is fed by, as the node with the lease knows it; NULL when it does not.
ALTER TABLE readview_states ADD heard BIGINT;
