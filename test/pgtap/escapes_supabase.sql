-- The ways around the policies on a database with Supabase's roles and schema.
\set supabase true
\ir escapes.sql
