-- A row of `uses` is written every minute for as long as its secret is in use. With room for its next version on the page it
-- is on, no index is touched. Those that lie together are written together, so that a page may need it for all of its rows.
ALTER TABLE uses SET (fillfactor = 50);
