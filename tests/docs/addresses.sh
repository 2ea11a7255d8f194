# shellcheck shell=bash
# Sourced by the programs in bin/. Replaces the cameras of the pages by those of the test.

test_addresses() {
    local text=$1
    text=${text//192.168.1.20:554/127.0.0.1:$CAMERA_PORT}
    text=${text//192.168.1.20%3A554/127.0.0.1%3A$CAMERA_PORT}
    text=${text//'"ip": "192.168.1.21"'/'"ip": "127.0.0.1", "port": '$CAMERA_PORT}
    # Without a port it is the camera's ONVIF service.
    text=${text//192.168.1.20/127.0.0.1:$ONVIF_PORT}
    # The device hears probes on loopback.
    text=${text//eth0/127.0.0.1}
    printf '%s' "$text"
}
