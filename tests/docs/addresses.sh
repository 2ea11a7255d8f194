# shellcheck shell=bash
# Sourced by the wrappers in bin/. Replaces the camera addresses of the pages by addresses of the test
# cameras.

# Prints $1 with the addresses replaced.
test_addresses() {
    local text=$1
    text=${text//192.168.1.20:554/127.0.0.1:$CAMERA_PORT}
    text=${text//192.168.1.20%3A554/127.0.0.1%3A$CAMERA_PORT}
    text=${text//'"ip": "192.168.1.21"'/'"ip": "127.0.0.1", "port": '$CAMERA_PORT}
    # An address without a port is the address of the camera's ONVIF service.
    text=${text//192.168.1.20/127.0.0.1:$ONVIF_PORT}
    # The ONVIF test device receives probes on loopback.
    text=${text//eth0/127.0.0.1}
    printf '%s' "$text"
}
