<?php

declare(strict_types=1);

namespace App\Services;

use RuntimeException;

/**
 * A refusal by the manager, or its silence. Contains no link and no key.
 */
final class StreamManagerException extends RuntimeException
{
    /**
     * @param int      $status     HTTP status; 0 if there was no answer
     * @param string   $errorCode  stable code, such as source_unauthorized. Not named $code,
     *                             which is a number in PHP's own exceptions
     * @param string   $detail     explanation for people
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
