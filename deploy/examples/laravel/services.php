<?php

// Add this entry to the array that your config/services.php returns.
return [
    'stream_manager' => [
        // Address at which this server reaches the API: the manager itself, or nginx.
        'url' => env('STREAM_MANAGER_URL', 'http://127.0.0.1:8088'),
        'api_key' => env('STREAM_MANAGER_API_KEY'),
        // Address at which browsers reach nginx.
        'public_url' => env('STREAM_MANAGER_PUBLIC_URL', 'http://localhost:8080'),
        // Path of a PEM file with an Ed25519 or RSA key. Only mintToken() needs it.
        'private_key_file' => env('STREAM_MANAGER_PRIVATE_KEY_FILE'),
        // Lifetime of a playback session in seconds. After that, the page requests another session.
        'playback_ttl' => 3600,
    ],
];
