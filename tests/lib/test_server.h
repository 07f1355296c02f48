/*
 * Servers for tests, each a process that behaves in one way on a loopback port of its own.
 *
 *     unsigned port = test_server(send_text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
 *     ...
 *     test_servers_stop();
 */
#ifndef TEST_SERVER_H
#define TEST_SERVER_H

/* Called for each connection, in a process of its own, with the request read up to its empty line (unless it
 * never comes). The connection is closed when it returns. */
typedef void TestBehaviour(int fd, const char *context);

unsigned test_server(TestBehaviour *behave, const char *context);
/* The same on a given port, or -1 when it is taken. */
int test_server_on(unsigned port, TestBehaviour *behave, const char *context);
/* A port of loopback that nobody listens on. */
unsigned test_free_port(void);
/* Ends all of them. */
void test_servers_stop(void);

/* Behaviours. send_text sends its context; the others say what they do. */
TestBehaviour send_text, never_answer, reset_at_once, close_at_once, send_slowly, send_without_end;

#endif
