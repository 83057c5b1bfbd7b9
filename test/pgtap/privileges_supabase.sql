-- The contract of privileges on a database with Supabase's roles and schema.
\set supabase true
\ir privileges.sql
