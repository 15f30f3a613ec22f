// An OpenIGTLink peer made of the C++ library: takes messages apart with the library's own classes, the checksum checked,
// puts them together again and sends them back. What it cannot take apart comes back as a STRING.
//
//   echo HOST PORT

#include <cstdlib>
#include <cstring>
#include <string>

#include "igtlCapabilityMessage.h"
#include "igtlClientSocket.h"
#include "igtlImageMessage.h"
#include "igtlMessageHeader.h"
#include "igtlNDArrayMessage.h"
#include "igtlPointMessage.h"
#include "igtlPolyDataMessage.h"
#include "igtlPositionMessage.h"
#include "igtlSensorMessage.h"
#include "igtlStatusMessage.h"
#include "igtlStringMessage.h"
#include "igtlTrackingDataMessage.h"
#include "igtlTransformMessage.h"

static void say(igtl::Socket* socket, const std::string& text)
{
  igtl::StringMessage::Pointer message = igtl::StringMessage::New();
  message->SetDeviceName("echo");
  message->SetString(text.c_str());
  message->Pack();
  socket->Send(message->GetPackPointer(), message->GetPackSize());
}

template <class T> static void echo(igtl::Socket* socket, igtl::MessageHeader::Pointer header)
{
  typename T::Pointer message = T::New();
  message->SetMessageHeader(header);
  message->AllocatePack();
  if (message->GetPackBodySize() > 0)
    {
    socket->Receive(message->GetPackBodyPointer(), message->GetPackBodySize());
    }
  if (!(message->Unpack(1) & igtl::MessageHeader::UNPACK_BODY))
    {
    say(socket, "refused");
    return;
    }
  message->Pack();
  socket->Send(message->GetPackPointer(), message->GetPackSize());
}

int main(int argc, char* argv[])
{
  if (argc != 3)
    {
    return 2;
    }
  igtl::ClientSocket::Pointer socket = igtl::ClientSocket::New();
  if (socket->ConnectToServer(argv[1], atoi(argv[2])) != 0)
    {
    return 1;
    }
  say(socket, "ready");
  igtl::MessageHeader::Pointer header = igtl::MessageHeader::New();
  for (;;)
    {
    header->InitPack();
    if (socket->Receive(header->GetPackPointer(), header->GetPackSize()) != header->GetPackSize())
      {
      return 0;
      }
    header->Unpack();
    const std::string type = header->GetDeviceType();
    if (type == "TRANSFORM") echo<igtl::TransformMessage>(socket, header);
    else if (type == "POSITION") echo<igtl::PositionMessage>(socket, header);
    else if (type == "IMAGE") echo<igtl::ImageMessage>(socket, header);
    else if (type == "STRING") echo<igtl::StringMessage>(socket, header);
    else if (type == "STATUS") echo<igtl::StatusMessage>(socket, header);
    else if (type == "POINT") echo<igtl::PointMessage>(socket, header);
    else if (type == "TDATA") echo<igtl::TrackingDataMessage>(socket, header);
    else if (type == "SENSOR") echo<igtl::SensorMessage>(socket, header);
    else if (type == "POLYDATA") echo<igtl::PolyDataMessage>(socket, header);
    else if (type == "NDARRAY") echo<igtl::NDArrayMessage>(socket, header);
    else if (type == "CAPABILITY") echo<igtl::CapabilityMessage>(socket, header);
    else
      {
      socket->Skip(header->GetBodySizeToRead(), 0);
      say(socket, "skipped " + type);
      }
    }
}
