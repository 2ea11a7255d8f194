<?php

/**
 * Uses the client of deploy/examples/laravel as a back end does, against a real manager. Reads its
 * settings as JSON from standard input and writes the results as JSON to standard output.
 */

declare(strict_types=1);

use App\Services\StreamManager;
use App\Services\StreamManagerException;

foreach (['curl', 'openssl', 'sodium'] as $extension) {
    if (!extension_loaded($extension)) {
        fwrite(STDERR, "PHP's {$extension} is missing; install it with: apt-get install php-cli php-curl\n");
        exit(1);
    }
}

const EXAMPLE = __DIR__ . '/../../deploy/examples/laravel/';
require EXAMPLE . 'StreamManager.php';
require EXAMPLE . 'StreamManagerException.php';

$given = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
$manager = fn (string $url, string $key): StreamManager => new StreamManager(
    $url,
    $key,
    $given['public_url'],
    $given['private_key'],
);
$streams = $manager($given['base_url'], $given['api_key']);

// The status and the first line of a player's answer.
$fetch = function (string $url): array {
    $curl = curl_init($url);
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30]);
    $text = curl_exec($curl);
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), strtok((string) $text, "\n")];
};
$refusal = function (callable $call): array {
    try {
        $call();
    } catch (StreamManagerException $error) {
        return [
            'status' => $error->status,
            'code' => $error->errorCode,
            'detail' => $error->detail,
            // As in a log, with the stack trace.
            'log' => (string) $error,
        ];
    }
    return ['status' => 200, 'code' => 'no error'];
};

$saw = [];
$saw['wrong_key'] = $refusal(fn () => $manager($given['base_url'], 'no-such-secret-0001')->status('door'));
$saw['unreachable'] = $refusal(fn () => $manager($given['closed_url'], 'x')->status('door'));
$camera = ['name' => 'Front door', 'owner' => '42', 'rtsp_link' => $given['link']];
$saw['put'] = $streams->putCamera('door', $camera);
$saw['start'] = $streams->startCamera('door', options: ['audio' => 'off']);
$saw['state'] = $streams->status('door');
$streams->putCamera('other', ['rtsp_link' => $given['link']]);
$saw['search'] = $streams->listCameras('front d');
$saw['page'] = $streams->listCameras(limit: 1, offset: 1);

$playback = $streams->playbackUrl('anna', 'door', 600);
$saw['playback'] = $playback;
$saw['session'] = $fetch($playback['hlsUrl']);
$streams->endSession($playback['sessionId']);
$saw['session_ended'] = $fetch($playback['hlsUrl']);

$minted = $streams->mintToken('bert', ['door'], 600);
$saw['minted'] = $fetch($streams->hlsUrl($minted['token'], 'door'));
$saw['minted_other'] = $fetch($streams->hlsUrl($minted['token'], 'other'));
$streams->endSession($minted['sessionId']);
$saw['minted_ended'] = $fetch($streams->hlsUrl($minted['token'], 'door'));
$saw['no_session'] = $refusal(fn () => $streams->endSession('no-such/session'));

$saw['wrong_link'] = $refusal(fn () => $streams->startCamera('wrong', $given['wrong_link']));
$saw['no_link'] = $refusal(fn () => $streams->putCamera('wrong', ['rtsp_link' => $given['no_link']]));
$streams->stopCamera('door');
$saw['stopped'] = $streams->status('door')['state'];
$streams->deleteCamera('door');
$saw['deleted'] = $refusal(fn () => $streams->status('door'));

echo json_encode($saw, JSON_THROW_ON_ERROR);
