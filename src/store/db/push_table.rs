//! The tables of push notifications: the key that signs them, and the subscriptions. The secrets in them are sealed.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Database, WriteTransaction};

/// A row of the table of subscriptions. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushRow {
    /// The id of the subscription.
    pub id: String,
    /// The URL and the keys that the browser has chosen, sealed.
    pub sealed: Vec<u8>,
    /// The name of the API key that made the subscription, or `anybody` if there were no keys.
    pub made_by: String,
    /// The role of the key when it made the subscription.
    pub role: String,
    /// The names of the key's rights when it made the subscription, separated by commas.
    pub rights: String,
    /// The user of a back end.
    pub user: Option<String>,
    /// The owner to whose cameras the subscription is limited.
    pub owner: Option<String>,
    /// What the subscriber wants to get, as a JSON object.
    pub preferences: String,
    /// When the subscription was made.
    pub created_at: i64,
    /// When the page was last open in the browser.
    pub opened_at: i64,
}

/// A secret of push notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushSecret {
    /// The id of the subscription; `None` for the key that signs notifications.
    pub subscription: Option<String>,
    /// The sealed secret.
    pub sealed: Vec<u8>,
}

impl PushSecret {
    /// Returns the context of the secret, to which it is bound when it is sealed. Ids of cameras contain no spaces, so that
    /// the context differs from those of all cameras.
    pub(crate) fn context(&self) -> String {
        match &self.subscription {
            Some(id) => format!("push subscription {id}"),
            None => "push key".to_owned(),
        }
    }
}

impl Database {
    /// Returns the key that signs notifications, sealed; `None` before the first start.
    pub(crate) async fn push_key(&self) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let row = sqlx::query("SELECT sealed FROM push_key").fetch_optional(&self.pool).await?;
        row.map(|row| row.try_get("sealed")).transpose()
    }

    /// Returns all subscriptions.
    pub(crate) async fn push_subscriptions(&self) -> Result<Vec<PushRow>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM push_subscriptions").fetch_all(&self.pool).await?;
        rows.iter().map(push_row).collect()
    }

    /// Adds or replaces a subscription.
    pub(crate) async fn put_push_subscription(&self, row: &PushRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO push_subscriptions
                (id, sealed, made_by, role, rights, user_name, owner, preferences, created_at, opened_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (id) DO UPDATE SET
                sealed = excluded.sealed, made_by = excluded.made_by, role = excluded.role,
                rights = excluded.rights, user_name = excluded.user_name, owner = excluded.owner,
                preferences = excluded.preferences, opened_at = excluded.opened_at",
        );
        let query = query.bind(&row.id).bind(&row.sealed).bind(&row.made_by).bind(&row.role);
        let query = query.bind(&row.rights).bind(&row.user).bind(&row.owner);
        let query = query.bind(&row.preferences).bind(row.created_at).bind(row.opened_at);
        let mut write = self.write().await?;
        query.execute(&mut *write.connection).await?;
        write.commit().await
    }

    /// Notes that the page was open in the browser of a subscription at this time.
    pub(crate) async fn push_page_opened(&self, id: &str, at: i64) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE push_subscriptions SET opened_at = $2 WHERE id = $1");
        let mut write = self.write().await?;
        query.bind(id).bind(at).execute(&mut *write.connection).await?;
        write.commit().await
    }

    /// Deletes subscriptions.
    pub(crate) async fn delete_push_subscriptions(
        &self,
        ids: &[String],
    ) -> Result<(), sqlx::Error> {
        let mut write = self.write().await?;
        for id in ids {
            let query = sqlx::query("DELETE FROM push_subscriptions WHERE id = $1").bind(id);
            query.execute(&mut *write.connection).await?;
        }
        write.commit().await
    }

    /// Stores a key that signs notifications, and deletes all subscriptions, which belong to another key.
    pub(crate) async fn begin_with_push_key(&self, sealed: &[u8]) -> Result<(), sqlx::Error> {
        let mut write = self.write().await?;
        let delete = sqlx::query("DELETE FROM push_subscriptions");
        delete.execute(&mut *write.connection).await?;
        write
            .set_push_secret(&PushSecret { subscription: None, sealed: sealed.to_owned() })
            .await?;
        write.commit().await
    }
}

impl WriteTransaction {
    /// Returns all secrets of push notifications.
    pub(crate) async fn push_secrets(&mut self) -> Result<Vec<PushSecret>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT NULL AS id, sealed FROM push_key UNION ALL
             SELECT id, sealed FROM push_subscriptions",
        );
        let rows = query.fetch_all(&mut *self.connection).await?;
        let secret = |row: &SqliteRow| {
            Ok(PushSecret { subscription: row.try_get("id")?, sealed: row.try_get("sealed")? })
        };
        rows.iter().map(secret).collect()
    }

    /// Replaces a secret. Adds the key that signs notifications if it is missing.
    pub(crate) async fn set_push_secret(&mut self, secret: &PushSecret) -> Result<(), sqlx::Error> {
        let query = if let Some(id) = &secret.subscription {
            let query = sqlx::query("UPDATE push_subscriptions SET sealed = $1 WHERE id = $2");
            query.bind(&secret.sealed).bind(id)
        } else {
            let query = sqlx::query(
                "INSERT INTO push_key (id, sealed) VALUES (1, $1)
                 ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
            );
            query.bind(&secret.sealed)
        };
        query.execute(&mut *self.connection).await.map(drop)
    }
}

fn push_row(row: &SqliteRow) -> Result<PushRow, sqlx::Error> {
    Ok(PushRow {
        id: row.try_get("id")?,
        sealed: row.try_get("sealed")?,
        made_by: row.try_get("made_by")?,
        role: row.try_get("role")?,
        rights: row.try_get("rights")?,
        user: row.try_get("user_name")?,
        owner: row.try_get("owner")?,
        preferences: row.try_get("preferences")?,
        created_at: row.try_get("created_at")?,
        opened_at: row.try_get("opened_at")?,
    })
}
