/* `uvsmtp sink` without the rest of uvsmtp's tool, for the tests of the sink itself. */
#include "sink/sink.h"

int main(int argc, char **argv)
{
  return sink_main(argc, argv);
}
