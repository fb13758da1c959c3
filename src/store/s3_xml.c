/*
 * s3_xml - the few XML documents of S3, read element by element over expat
 */
#include "s3_xml.h"

#include <assert.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

enum {
    S3_XML_PATH_SIZE_MAX = 256,
    S3_XML_TEXT_SIZE_MAX = 16 << 10, /* an escaped key of 1,024 bytes has 6 KiB at most */
    S3_XML_FEED_SIZE_MAX = 1 << 20,  /* expat counts in int */
};

struct s3_xml {
    XML_Parser parser;
    s3_xml_fn *each;
    void *payload;
    char path[S3_XML_PATH_SIZE_MAX];
    size_t path_size;
    struct buf text;
    rc failed; /* sticky; error says why */
    struct error error;
};

static void s3_xml_stop(struct s3_xml *xml, rc code)
{
    xml->failed = code;
    XML_StopParser(xml->parser, XML_FALSE);
}

static void s3_xml_refuse(struct s3_xml *xml, const char *why)
{
    s3_xml_stop(xml, error_set(&xml->error, RC_CORRUPT, 0, __FILE__, __LINE__, "%s", why));
}

/* Namespace prefixes are not looked at: "s3:Key" is "Key". */
static void on_start(void *payload, const XML_Char *name, const XML_Char **attributes)
{
    struct s3_xml *xml = payload;
    const char *colon = strrchr(name, ':');
    const char *local = colon == NULL ? name : colon + 1;
    size_t size = strlen(local);
    (void)attributes;

    if (xml->failed != RC_OK)
        return;
    if (xml->path_size + size + 2 > sizeof xml->path) {
        s3_xml_refuse(xml, "elements are nested too deep");
        return;
    }
    if (xml->path_size > 0)
        xml->path[xml->path_size++] = '/';
    memcpy(xml->path + xml->path_size, local, size + 1);
    xml->path_size += size;
    buf_clear(&xml->text);
}

static void on_text(void *payload, const XML_Char *text, int size)
{
    struct s3_xml *xml = payload;

    if (xml->failed != RC_OK)
        return;
    if ((size_t)size >= xml->text.size_max - xml->text.size) {
        s3_xml_refuse(xml, "an element's text is too long");
        return;
    }
    buf_put(&xml->text, bytes_of(text, (size_t)size));
}

static void on_end(void *payload, const XML_Char *name)
{
    struct s3_xml *xml = payload;
    (void)name;

    if (xml->failed != RC_OK)
        return;
    buf_put_u8(&xml->text, 0);
    rc done = xml->each(xml->payload, xml->path, (const char *)xml->text.data, &xml->error);
    if (done != RC_OK) {
        s3_xml_stop(xml, done);
        return;
    }
    buf_clear(&xml->text);
    char *slash = strrchr(xml->path, '/');
    xml->path_size = slash == NULL ? 0 : (size_t)(slash - xml->path);
    xml->path[xml->path_size] = '\0';
}

static void on_doctype(void *payload, const XML_Char *name, const XML_Char *system_id,
    const XML_Char *public_id, int has_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    s3_xml_refuse(payload, "a document type is declared");
}

struct s3_xml *s3_xml_new(s3_xml_fn *each, void *payload)
{
    struct s3_xml *xml = mem_new(sizeof *xml);
    xml->parser = XML_ParserCreate(NULL);
    if (xml->parser == NULL)
        abort();
    xml->each = each;
    xml->payload = payload;
    xml->text = BUF_INIT(S3_XML_TEXT_SIZE_MAX);
    XML_SetUserData(xml->parser, xml);
    XML_SetElementHandler(xml->parser, on_start, on_end);
    XML_SetCharacterDataHandler(xml->parser, on_text);
    XML_SetStartDoctypeDeclHandler(xml->parser, on_doctype);
    return xml;
}

void s3_xml_free(struct s3_xml *xml)
{
    if (xml == NULL)
        return;
    XML_ParserFree(xml->parser);
    buf_release(&xml->text);
    free(xml);
}

static rc s3_xml_report(const struct s3_xml *xml, struct error *err)
{
    if (err != NULL)
        *err = xml->error;
    return xml->failed;
}

static rc s3_xml_run(struct s3_xml *xml, struct bytes bytes, int is_final, struct error *err)
{
    if (xml->failed != RC_OK)
        return s3_xml_report(xml, err);
    assert(bytes.size <= S3_XML_FEED_SIZE_MAX);
    const char *data = bytes.size > 0 ? (const char *)bytes.data : "";
    if (XML_Parse(xml->parser, data, (int)bytes.size, is_final) == XML_STATUS_OK)
        return RC_OK;
    if (xml->failed == RC_OK)
        xml->failed = error_set(&xml->error, RC_CORRUPT, 0, __FILE__, __LINE__,
            "not an XML document: %s in line %lu", XML_ErrorString(XML_GetErrorCode(xml->parser)),
            (unsigned long)XML_GetCurrentLineNumber(xml->parser));
    return s3_xml_report(xml, err);
}

rc s3_xml_feed(struct s3_xml *xml, struct bytes bytes, struct error *err)
{
    while (bytes.size > 0) {
        size_t step = bytes.size < S3_XML_FEED_SIZE_MAX ? bytes.size : S3_XML_FEED_SIZE_MAX;
        TRY(s3_xml_run(xml, bytes_part(bytes, 0, step), 0, err));
        bytes = bytes_part(bytes, step, bytes.size - step);
    }
    return RC_OK;
}

rc s3_xml_finish(struct s3_xml *xml, struct error *err)
{
    return s3_xml_run(xml, bytes_of(NULL, 0), 1, err);
}

rc s3_xml_parse(struct bytes document, s3_xml_fn *each, void *payload, struct error *err)
{
    struct s3_xml *xml = s3_xml_new(each, payload);
    rc parsed = s3_xml_feed(xml, document, err);
    if (parsed == RC_OK)
        parsed = s3_xml_finish(xml, err);
    s3_xml_free(xml);
    return parsed;
}
