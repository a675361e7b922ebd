-- Whether error says that something under way takes long, and not that it failed.
ALTER TABLE consumers ADD stalled BOOLEAN NOT NULL DEFAULT false;
