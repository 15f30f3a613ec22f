// Sends OpenIGTLink messages at a steady rate to whoever connects, each with the time at which it is given to the socket.
//
//   igtl_sender TRANSFORM|IMAGE RATE COUNT CLIENTS
//
// Listens on a free port of the loopback interface and prints it; begins when so many clients are connected, tells them
// in turns first, closes at the end, and prints how many seconds it took until all had read everything. The messages are
// packed by the library, once: its checksum takes longer than sending. The time is not part of what the checksum is over.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "igtlImageMessage.h"
#include "igtlTransformMessage.h"

static const int kWidth = 1920;
static const int kHeight = 1080;
static const int kTimeAt = 34;  // in the header: version, type and device name are before it

static igtl::MessageBase::Pointer make(const std::string& kind)
{
  igtl::Matrix4x4 matrix;
  igtl::IdentityMatrix(matrix);
  matrix[0][3] = 1.0f;
  if (kind == "TRANSFORM")
    {
    igtl::TransformMessage::Pointer message = igtl::TransformMessage::New();
    message->SetDeviceName("Tracker");
    message->SetMatrix(matrix);
    message->Pack();
    return message.GetPointer();
    }
  igtl::ImageMessage::Pointer message = igtl::ImageMessage::New();
  int size[] = {kWidth, kHeight, 1};
  float spacing[] = {1, 1, 1};
  message->SetDeviceName("Camera");
  message->SetDimensions(size);
  message->SetSpacing(spacing);
  message->SetNumComponents(3);
  message->SetScalarType(igtl::ImageMessage::TYPE_UINT8);
  message->AllocateScalars();
  unsigned char* voxels = static_cast<unsigned char*>(message->GetScalarPointer());
  for (int i = 0; i < kWidth * kHeight * 3; i++)
    {
    voxels[i] = static_cast<unsigned char>(i * 2654435761u >> 24);
    }
  message->SetMatrix(matrix);
  message->Pack();
  return message.GetPointer();
}

static void stamp(unsigned char* packet)
{
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const unsigned int words[] = {
    htonl(now.tv_sec), htonl(static_cast<unsigned int>((static_cast<unsigned long long>(now.tv_nsec) << 32) / 1000000000ull))};
  memcpy(packet + kTimeAt, words, sizeof words);
}

static bool give(int client, const unsigned char* data, size_t size)
{
  while (size > 0)
    {
    const ssize_t sent = send(client, data, size, MSG_NOSIGNAL);
    if (sent <= 0)
      {
      return false;
      }
    data += sent;
    size -= sent;
    }
  return true;
}

int main(int argc, char* argv[])
{
  if (argc != 5)
    {
    return 2;
    }
  igtl::MessageBase::Pointer message = make(argv[1]);
  const long period = static_cast<long>(1e9 / atof(argv[2]));
  const int count = atoi(argv[3]);
  unsigned char* packet = static_cast<unsigned char*>(message->GetPackPointer());
  const size_t size = message->GetPackSize();

  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 4) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    {
    return 1;
    }
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  std::vector<int> clients;
  const int one = 1;
  for (int i = 0; i < atoi(argv[4]); i++)
    {
    clients.push_back(accept(listener, NULL, NULL));
    setsockopt(clients.back(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
  timespec begin, next, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  next = begin;
  for (int i = 0; i < count; i++)
    {
    for (size_t j = 0; j < clients.size(); j++)
      {
      stamp(packet);
      if (!give(clients[(i + j) % clients.size()], packet, size))
        {
        return 1;
        }
      }
    next.tv_nsec += period;
    while (next.tv_nsec >= 1000000000)
      {
      next.tv_nsec -= 1000000000;
      next.tv_sec++;
      }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
  for (size_t j = 0; j < clients.size(); j++)
    {
    shutdown(clients[j], SHUT_WR);
    char byte;
    recv(clients[j], &byte, 1, 0);  // until the other end has read all and closes
    close(clients[j]);
    }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.9f\n", end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9);
  return 0;
}
