<?php

declare(strict_types=1);

namespace App\Services;

use RuntimeException;

/**
 * What the stream manager refused, or that it did not answer. Holds no link and no key.
 */
final class StreamManagerException extends RuntimeException
{
    /**
     * @param int      $status     the HTTP status; 0 when there was no answer
     * @param string   $errorCode  the stable code, such as source_unauthorized. Not named $code,
     *                             which PHP's own exceptions have for a number
     * @param string   $detail     for people
     * @param int|null $retryAfter seconds after which another attempt makes sense
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
