/* Who listens on a TCP port of this machine; proc(5), "net/tcp". */
#ifndef BELAY_RUNTIME_PROCESS_PORTS_H
#define BELAY_RUNTIME_PROCESS_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct PortHolder {
        pid_t pid; /* 0: a process that this user may not look into */
        uid_t uid;
        char *text; /* "node (pid 812, user www-data)"; owned */
} PortHolder;
void port_holder_done(PortHolder *holder);

/* True: somebody listens on it on all addresses or on the loopback, so that a service cannot. What listens
 * only on another address of the machine is in nobody's way. */
bool port_find_holder(unsigned port, PortHolder *ret);
/* True: nobody listens on it, or `pid` does. Looks at that one process alone; false may be another process
 * of its family, which port_find_holder tells. */
bool port_is_free_or_held_by(unsigned port, pid_t pid);

/* All sockets that listen on all addresses or on the loopback. */
typedef struct ListeningPort {
        uint64_t inode;
        unsigned port;
} ListeningPort;
typedef struct ListeningPorts {
        ListeningPort *items;
        size_t n;
} ListeningPorts;
void ports_listening(ListeningPorts *ret);
void listening_ports_done(ListeningPorts *ports);
/* The port of "socket:[12345]", as /proc/<pid>/fd shows it; 0: it does not listen. */
unsigned ports_of_link(const ListeningPorts *ports, const char *link);

/* Appends the ports that a process listens on. */
void ports_of_process(const ListeningPorts *all, pid_t pid, unsigned **ports, size_t *n);

/* The name of a user, or its number as text; owned. */
char *user_name(uid_t uid);

#endif
