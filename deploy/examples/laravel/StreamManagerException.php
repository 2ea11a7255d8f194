<?php

declare(strict_types=1);

namespace App\Services;

use RuntimeException;

/**
 * The manager has rejected a request or did not respond. Contains no link and no key.
 */
final class StreamManagerException extends RuntimeException
{
    /**
     * @param int      $status     HTTP status; 0 if there was no response
     * @param string   $errorCode  stable code, such as source_unauthorized. The name is not $code,
     *                             because $code is a number in PHP's own exceptions
     * @param string   $detail     explanation in English
     * @param int|null $retryAfter seconds to wait before another attempt; null if the response has no such time
     */
    public function __construct(
        public readonly int $status,
        public readonly string $errorCode,
        public readonly string $detail,
        public readonly ?int $retryAfter = null,
    ) {
        parent::__construct("stream manager: {$errorCode} ({$status}): {$detail}", $status);
    }
}
