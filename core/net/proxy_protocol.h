#ifndef WEIR_NET_PROXY_PROTOCOL_H
#define WEIR_NET_PROXY_PROTOCOL_H

#include "core/base/builder.h"
#include "core/net/addr.h"

/*
 * The PROXY protocol, versions 1 and 2: who the client is, before its first byte.
 * https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
 */

#define WEIR_PROXY_V1_MAX 107
/* Version 2 may say up to 64 KiB; what is sent in earnest is some hundred bytes. */
#define WEIR_PROXY_V2_MAX (16 + 4096)
#define WEIR_PROXY_HEADER_MAX WEIR_PROXY_V2_MAX

typedef struct {
    size_t len;            /* of the header; what follows belongs to the client */
    weir_addr peer, local; /* len 0: not said (LOCAL, UNKNOWN, UNSPEC) */
    weir_str tlvs;         /* of version 2, well-formed; borrowed from the bytes */
} weir_proxy_header;

/*
 * OK: there is a whole header.  WAIT: this may become one.  FAIL: this never does; nothing is logged.
 * More than WEIR_PROXY_HEADER_MAX bytes are never waited for.
 */
weir_result weir_proxy_protocol_parse(weir_str bytes, weir_proxy_header *header) WEIR_MUST_USE;

/* Writes a header of version 1: at most WEIR_PROXY_V1_MAX bytes.  Families that differ are "UNKNOWN". */
void weir_proxy_protocol_write_v1(weir_builder *builder, const weir_addr *peer,
                                  const weir_addr *local);
/* Of version 2, in at most WEIR_PROXY_V1_MAX bytes; families that differ, and unix:, are "unspecified". */
void weir_proxy_protocol_write_v2(weir_builder *builder, const weir_addr *peer,
                                  const weir_addr *local);

/*
 * The value of a TLV, by the name or the number that variables have: "alpn", "0x01"; with "ssl_" before it of those
 * within the SSL one.  "ssl_verify" is four bytes, a big-endian number.  False: it is not there.
 */
bool weir_proxy_protocol_tlv(weir_str tlvs, weir_str name, weir_str *value) WEIR_MUST_USE;

#endif
