/*
 * s3_xml - the few XML documents of S3, read element by element over expat
 *
 * The callback gets every element when it ends: its path from the root ("Error/Code") and its own
 * text. Document types (and with them entities of a server's making) are refused; depth and text
 * are bounded.
 */
#ifndef SEAWAL_STORE_S3_XML_H
#define SEAWAL_STORE_S3_XML_H

#include "base/bytes.h"
#include "base/error.h"

struct s3_xml;

typedef rc s3_xml_fn(void *payload, const char *path, const char *text, struct error *err);

struct s3_xml *s3_xml_new(s3_xml_fn *each, void *payload);
void s3_xml_free(struct s3_xml *xml);

/* RC_CORRUPT when the bytes are not XML within our bounds; a failing callback's rc is returned. */
must_use rc s3_xml_feed(struct s3_xml *xml, struct bytes bytes, struct error *err);

/* No more bytes come: RC_CORRUPT when the document is not complete. */
must_use rc s3_xml_finish(struct s3_xml *xml, struct error *err);

/* All of it for a document that is there as a whole. */
must_use rc s3_xml_parse(struct bytes document, s3_xml_fn *each, void *payload, struct error *err);

#endif
