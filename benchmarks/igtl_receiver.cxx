// Receives OpenIGTLink messages by the C++ library's own calls, with the checksum checked, as its examples do, and prints
// after the last one for each how many nanoseconds after its time stamp it had been taken apart.
//
//   igtl_receiver HOST PORT

#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "igtlClientSocket.h"
#include "igtlImageMessage.h"
#include "igtlMessageHeader.h"
#include "igtlTransformMessage.h"

static long long since(igtl::TimeStamp::Pointer stamp)
{
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  igtlUint32 seconds, nanoseconds;
  stamp->GetTimeStamp(&seconds, &nanoseconds);
  return (now.tv_sec - static_cast<long long>(seconds)) * 1000000000ll + now.tv_nsec - nanoseconds;
}

template <class T> static bool take(igtl::Socket* socket, igtl::MessageHeader::Pointer header)
{
  typename T::Pointer message = T::New();
  message->SetMessageHeader(header);
  message->AllocatePack();
  if (socket->Receive(message->GetPackBodyPointer(), message->GetPackBodySize()) != message->GetPackBodySize())
    {
    return false;
    }
  return message->Unpack(1) & igtl::MessageHeader::UNPACK_BODY;
}

int main(int argc, char* argv[])
{
  igtl::ClientSocket::Pointer socket = igtl::ClientSocket::New();
  if (argc != 3 || socket->ConnectToServer(argv[1], atoi(argv[2])) != 0)
    {
    return 1;
    }
  igtl::MessageHeader::Pointer header = igtl::MessageHeader::New();
  igtl::TimeStamp::Pointer stamp = igtl::TimeStamp::New();
  std::vector<long long> delays;
  for (;;)
    {
    header->InitPack();
    if (socket->Receive(header->GetPackPointer(), header->GetPackSize()) != header->GetPackSize())
      {
      break;
      }
    header->Unpack();
    header->GetTimeStamp(stamp);
    const bool image = strcmp(header->GetDeviceType(), "IMAGE") == 0;
    if (!(image ? take<igtl::ImageMessage>(socket, header) : take<igtl::TransformMessage>(socket, header)))
      {
      return 1;
      }
    delays.push_back(since(stamp));
    }
  socket->CloseSocket();
  for (size_t i = 0; i < delays.size(); i++)
    {
    printf("%lld\n", delays[i]);
    }
  return 0;
}
