<?php

// Add this entry to the array that your config/services.php returns.
return [
    'stream_manager' => [
        // Address of the API for this server: the manager itself, or nginx.
        'url' => env('STREAM_MANAGER_URL', 'http://127.0.0.1:8088'),
        'api_key' => env('STREAM_MANAGER_API_KEY'),
        // Address of nginx for browsers.
        'public_url' => env('STREAM_MANAGER_PUBLIC_URL', 'http://localhost:8080'),
        // For mintToken() only: path of a PEM file with an Ed25519 or RSA key.
        'private_key_file' => env('STREAM_MANAGER_PRIVATE_KEY_FILE'),
        // Lifetime of a playback session, in seconds. The page then asks for another one.
        'playback_ttl' => 3600,
    ],
];
