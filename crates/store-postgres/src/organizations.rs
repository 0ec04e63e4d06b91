//! Changes of organizations and of who belongs to them.

use countersign_domain::change::MembershipLimits;
use countersign_domain::id::MembershipId;
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::store::{StoreError, Version};
use uuid::Uuid;

use crate::accounts::uuid;
use crate::apply::{check_version, signed};
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::session::Tx;
use crate::sql;
use crate::tally::{Counts, Tally};

pub(crate) async fn create(
    tx: &Tx<'_>,
    organization: &Organization,
    membership: &Membership,
    limit: u32,
    tally: &mut Tally,
) -> Result<(), Failure> {
    tally.hold(tx, organization.owner).await?;
    tally.check_room(tx, organization.owner, limit, |counts| counts.memberships).await?;
    insert_row(tx, organization).await?;
    insert_membership(tx, membership, tally).await
}

/// The row alone, without a look at any other.
pub(crate) async fn insert_row(tx: &Tx<'_>, organization: &Organization) -> Result<(), Failure> {
    tx.insert(
        sql::INSERT_ORGANIZATION,
        &[
            &uuid(organization.id.as_bytes()),
            &uuid(organization.owner.as_bytes()),
            &organization.profile.as_json(),
            &organization.active,
            &organization.created_at.as_micros(),
            &organization.updated_at.as_micros(),
            &signed(organization.version.number()),
        ],
    )
    .await
}

/// What must be known of an organization's row to change it.
struct Row {
    owner: Uuid,
    version: Version,
    memberships: u32,
}

async fn take(tx: &Tx<'_>, id: &[u8; 16]) -> Result<Row, Failure> {
    let row = tx
        .find(sql::TAKE_ORGANIZATION, &[&uuid(id)], |row| {
            let mut cells = Cells::of(row, "organizations");
            let (owner, version) = (cells.plain("owner")?, cells.version("version")?);
            Ok(Row { owner, version, memberships: cells.number("memberships")? })
        })
        .await?;
    Ok(row.ok_or(StoreError::NotFound)?)
}

pub(crate) async fn replace(
    tx: &Tx<'_>,
    organization: &Organization,
    expected: Version,
) -> Result<(), Failure> {
    let row = take(tx, organization.id.as_bytes()).await?;
    if row.owner != uuid(organization.owner.as_bytes()) {
        return Err(StoreError::NotFound.into());
    }
    check_version(row.version, expected)?;
    tx.run(
        sql::UPDATE_ORGANIZATION,
        &[
            &uuid(organization.id.as_bytes()),
            &organization.profile.as_json(),
            &organization.active,
            &organization.updated_at.as_micros(),
            &signed(organization.version.number()),
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn create_membership(
    tx: &Tx<'_>,
    membership: &Membership,
    limits: MembershipLimits,
    tally: &mut Tally,
) -> Result<(), Failure> {
    tally.hold(tx, membership.account).await?;
    if membership.is_agreed() {
        let agreed = |counts: Counts| counts.memberships;
        tally.check_room(tx, membership.account, limits.of_account, agreed).await?;
    }
    let (account, organization) = (membership.account.as_bytes(), membership.organization.as_bytes());
    if take(tx, organization).await?.memberships >= limits.of_organization {
        return Err(StoreError::LimitReached { limit: limits.of_organization }.into());
    }
    if tx.exists(sql::FIND_MEMBERSHIP_OF, &[&uuid(account), &uuid(organization)]).await? {
        return Err(StoreError::Duplicate.into());
    }
    insert_membership(tx, membership, tally).await
}

async fn insert_membership(tx: &Tx<'_>, membership: &Membership, tally: &mut Tally) -> Result<(), Failure> {
    insert_membership_row(tx, membership).await?;
    count_agreed(tally, membership, i64::from(membership.is_agreed()));
    tx.run(sql::ADD_MEMBERS, &[&uuid(membership.organization.as_bytes()), &1_i64]).await?;
    Ok(())
}

/// The row alone, without a look at any other.
pub(crate) async fn insert_membership_row(tx: &Tx<'_>, membership: &Membership) -> Result<(), Failure> {
    tx.insert(
        sql::INSERT_MEMBERSHIP,
        &[
            &uuid(membership.id.as_bytes()),
            &uuid(membership.organization.as_bytes()),
            &uuid(membership.account.as_bytes()),
            &membership.role.as_str(),
            &membership.consent.as_str(),
            &membership.disabled,
            &membership.created_at.as_micros(),
            &membership.updated_at.as_micros(),
            &signed(membership.version.number()),
        ],
    )
    .await
}

fn count_agreed(tally: &mut Tally, membership: &Membership, by: i64) {
    tally.add(membership.account, Counts { memberships: by, ..Counts::default() });
}

async fn take_membership(tx: &Tx<'_>, id: MembershipId) -> Result<Membership, Failure> {
    let row = tx.find(sql::TAKE_MEMBERSHIP, &[&uuid(id.as_bytes())], row::membership).await?;
    Ok(row.ok_or(StoreError::NotFound)?)
}

pub(crate) async fn replace_membership(
    tx: &Tx<'_>,
    membership: &Membership,
    expected: Version,
    limit: u32,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let stored = take_membership(tx, membership.id).await?;
    if stored.account != membership.account || stored.organization != membership.organization {
        return Err(StoreError::NotFound.into());
    }
    check_version(stored.version, expected)?;
    let by = i64::from(membership.is_agreed()) - i64::from(stored.is_agreed());
    if by > 0 {
        tally.hold(tx, membership.account).await?;
        tally.check_room(tx, membership.account, limit, |counts| counts.memberships).await?;
    }
    tx.run(
        sql::UPDATE_MEMBERSHIP,
        &[
            &uuid(membership.id.as_bytes()),
            &membership.role.as_str(),
            &membership.consent.as_str(),
            &membership.disabled,
            &membership.updated_at.as_micros(),
            &signed(membership.version.number()),
        ],
    )
    .await?;
    count_agreed(tally, membership, by);
    Ok(())
}

pub(crate) async fn delete_membership(
    tx: &Tx<'_>,
    id: MembershipId,
    expected: Version,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let stored = take_membership(tx, id).await?;
    check_version(stored.version, expected)?;
    remove_membership(tx, &stored, tally).await
}

/// Removes a row that was taken.
pub(crate) async fn remove_membership(
    tx: &Tx<'_>,
    membership: &Membership,
    tally: &mut Tally,
) -> Result<(), Failure> {
    tx.run(sql::DELETE_MEMBERSHIP, &[&uuid(membership.id.as_bytes())]).await?;
    count_agreed(tally, membership, -i64::from(membership.is_agreed()));
    tx.run(sql::ADD_MEMBERS, &[&uuid(membership.organization.as_bytes()), &-1_i64]).await?;
    Ok(())
}
