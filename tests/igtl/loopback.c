// The examples' servers listen on every interface of the machine. Preloaded, this binds them to the loopback one.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int socket, const struct sockaddr* address, socklen_t length)
{
  int (*real)(int, const struct sockaddr*, socklen_t) = dlsym(RTLD_NEXT, "bind");
  struct sockaddr_in changed;
  if (address->sa_family == AF_INET && length == sizeof changed)
    {
    memcpy(&changed, address, sizeof changed);
    changed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return real(socket, (const struct sockaddr*)&changed, length);
    }
  return real(socket, address, length);
}
