/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between PostgreSQL 15 and 18, under the newest names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_COMPAT_H
#define WFLOG_COMPAT_H

#include "access/genam.h"
#include "access/transam.h"
#include "miscadmin.h"

#if PG_VERSION_NUM < 150000
#error "wflog needs PostgreSQL 15 or later"
#endif

/* 18 added the instrumentation argument. */
#if PG_VERSION_NUM >= 180000
#define wflog_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define wflog_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* 18 has the attribute in front of the declaration, under this name. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 17 renamed the backend's lock and data of the transaction machinery. */
#if PG_VERSION_NUM < 170000
#define TransamVariables ShmemVariableCache
#endif

/* 16 replaced pg_foo_ownercheck() by object_ownercheck(). */
#if PG_VERSION_NUM >= 160000
#define wflog_owns_table(relid, role) object_ownercheck(RelationRelationId, relid, role)
#else
#define wflog_owns_table(relid, role) pg_class_ownercheck(relid, role)
#endif

#if PG_VERSION_NUM >= 160000
#define wflog_owns_database(oid, role) object_ownercheck(DatabaseRelationId, oid, role)
#define wflog_owns_extension(oid, role) object_ownercheck(ExtensionRelationId, oid, role)
#else
#define wflog_owns_database(oid, role) pg_database_ownercheck(oid, role)
#define wflog_owns_extension(oid, role) pg_extension_ownercheck(oid, role)
#endif

/* 16 added the argument missing_ok. */
#if PG_VERSION_NUM >= 160000
#define wflog_attrmap_if_req(in, out) build_attrmap_by_name_if_req(in, out, false)
#else
#define wflog_attrmap_if_req(in, out) build_attrmap_by_name_if_req(in, out)
#endif

/* 18 asks whether a deferrable key will do. */
#if PG_VERSION_NUM >= 180000
#define wflog_primary_key(rel) RelationGetPrimaryKeyIndex(rel, false)
#else
#define wflog_primary_key(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* 16 gave the date parser a place for details of an error. */
#if PG_VERSION_NUM >= 160000
#define wflog_decode_datetime(field, ftype, nf, dtype, tm, fsec, tzp) \
	({ DateTimeErrorExtra extra; DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tzp, &extra); })
#else
#define wflog_decode_datetime(field, ftype, nf, dtype, tm, fsec, tzp) \
	DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tzp)
#endif

/* 16 moved vacuum()'s memory context to its callers. */
#if PG_VERSION_NUM >= 160000
#define wflog_vacuum(relations, params) \
	vacuum(relations, params, NULL, \
		   AllocSetContextCreate(CurrentMemoryContext, "Vacuum", ALLOCSET_DEFAULT_SIZES), false)
#else
#define wflog_vacuum(relations, params) vacuum(relations, params, NULL, false)
#endif

/* 17 shows wait events of extensions by names of their own. */
#if PG_VERSION_NUM >= 170000
#define WFLOG_WAIT_EVENT(name) \
	({ static uint32 event = 0; if (event == 0) event = WaitEventExtensionNew(name); event; })
#else
#define WFLOG_WAIT_EVENT(name) PG_WAIT_EXTENSION
#endif

/* 17 made the size of the queue of notifications a setting; before, it is this many pages. */
#if PG_VERSION_NUM >= 170000
#define wflog_notify_queue_size() ((Size) max_notify_queue_pages * BLCKSZ)
#else
#define wflog_notify_queue_size() ((Size) 1048576 * BLCKSZ)
#endif

#endif							/* WFLOG_COMPAT_H */
