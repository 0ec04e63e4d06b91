-- The text of an access token, encrypted under a key that is not in here; only where the deployment lists texts.

ALTER TABLE access_tokens ADD COLUMN sealed BLOB;
