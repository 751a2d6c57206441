-- Addresses were typed by hand until now.
UPDATE customers SET email = lower(trim(email));

CREATE UNIQUE INDEX customers_email ON customers (email);
