#ifndef WEIR_NET_HOSTS_H
#define WEIR_NET_HOSTS_H

#include "core/net/addr.h"

/* Up to `room` addresses, without ports, that a hosts(5) file has for the name.  0, too, when it cannot be read. */
size_t weir_hosts_find(const char *path, weir_str host, weir_addr *addrs, size_t room);
/* The next word of a line with blanks between them, where # ends what is said.  False: there is none. */
bool weir_hosts_next_word(weir_str *line, weir_str *word);

#endif
